"""TFLite: an int8 model of the same decisions for LiteRT, Vela, STM32Cube.AI and other readers of its files."""
