"""The version of qconv, which every integer model tells."""

VERSION = "0.1.0"
