"""Running a NumpyModule on representative data to learn the range of every tensor."""
