"""Files of this machine: those that come and change (`source`), and what flows do with them."""
