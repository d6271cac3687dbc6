"""How fast Quarterdeck is, side by side with the docker package and the docker CLI; part of no test and of no image.

`python -m benchmarks` measures every figure, `python -m benchmarks ps logs` some. A figure is a module of
`benchmarks.figures` that exports one value, `figure`. Everything runs on engines and directories of its own.
"""
