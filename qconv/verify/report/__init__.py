"""What verification says: the report, its warnings and verdict, and how it is printed."""
