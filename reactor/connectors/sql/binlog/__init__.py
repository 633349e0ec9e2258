"""Changes of MySQL and MariaDB from their binary log."""
