"""The integer program: the one thing that is executed, traced by compilers, costed and saved."""
