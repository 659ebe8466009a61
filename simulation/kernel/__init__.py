"""The kernel of a world: choices, the event loop under virtual time, clocks, the fence, the trace."""
