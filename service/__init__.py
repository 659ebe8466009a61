"""The program: what an operator starts, stops and asks.

It may import everything below it, and nothing below may import it.
"""
