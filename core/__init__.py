"""The vocabulary of Quarterdeck: values, ports, errors, configuration and the store. Imports nothing of ours."""
