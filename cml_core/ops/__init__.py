"""What an operator is: its key and schema, its two implementations, and its examples."""
