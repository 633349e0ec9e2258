"""What may hold events back: a small pure decision for each gate, and the house they stand in.

An event passes the gates of its trigger in one order (`order.py`). Each gate has one row for each
key; it is given the row and the event and says what becomes of both. `house.py` keeps the rows in
the commit of the event, and turns due times into events that go on.
"""
