"""Defines what all layers share: values, ports, errors, configuration and the store. Imports no other layer."""
