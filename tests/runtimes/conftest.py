from helpers.fake_machine import machine

__all__ = ["machine"]
