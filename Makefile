# A thin door to xtask, which says what each of these does: `make help`.
.PHONY: help demo test test-long lint ci fuzz bench setup

help demo test test-long lint ci fuzz bench setup:
	@cargo run --quiet --locked --package xtask -- $@ $(ARGS)
