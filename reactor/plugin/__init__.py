"""What a connector is made of: its declaration, what it may ask for, and how words find it."""
