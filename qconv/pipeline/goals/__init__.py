"""What is above a single model: a budget or a goal that several are made for, and what other settings would give."""
