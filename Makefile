# SPDX-License-Identifier: Apache-2.0
# The short way to everything; the long way is cmake --preset NAME (CONTRIBUTING.md).
# Each target installs what it needs and is missing (sdk/cmake/setup), and says so.
JOBS ?= $(shell nproc)
setup := sdk/cmake/setup

.PHONY: all build test install package format tidy clean help
all: build

build:  ## build library and tools (build/release)
	@$(setup) build
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

test:  ## build and run all tests (build/dev)
	@$(setup) test
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev -j $(JOBS)

install: build  ## install under PREFIX (default /usr/local)
	cmake --install build/release --prefix $(or $(PREFIX),/usr/local)

package:  ## Debian packages, in build/package
	@$(setup) package
	cmake --preset package
	cmake --build --preset package -j $(JOBS)
	cd build/package && cpack -G DEB

format:  ## clang-format over all sources
	@sdk/cmake/format

tidy:  ## clang-tidy over all sources
	@sdk/cmake/tidy

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12
