"""The whole measured: text to signing by each system, read back by a judge that has seen only real people."""
