# SPDX-License-Identifier: Apache-2.0
# The short way to everything; the long way is cmake --preset NAME (CONTRIBUTING.md).
# Each target installs what it needs and is missing (sdk/cmake/setup), and says so.
JOBS ?= $(shell nproc)
setup := sdk/cmake/setup

FILE ?=
PREFIX ?= /usr/local

.PHONY: all build test demo demo-devmem demo-zcrx demo-rdma bench fuzz soak coverage lab lab-test lab-selftests lab-shell install \
  package format tidy clean help
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

demo:  ## receive a real file on loopback and verify it; FILE=PATH picks the file
	@$(setup) demo
	cmake --preset release
	cmake --build --preset release -j $(JOBS)
	examples/demo.sh build/release/sdk/cli/landfall build/demo $(if $(FILE),'$(FILE)')

demo-devmem:  ## the same into a dma-buf, by a NIC made of software in a VM, checked by its counters
demo-zcrx:  ## the same by io_uring zero-copy receive
demo-rdma:  ## the same by RDMA, over soft-RoCE
demo-zcrx: export LANDFALL_LAB_TRANSPORT = zcrx
demo-rdma: export LANDFALL_LAB_TRANSPORT = verbs
demo-devmem demo-zcrx demo-rdma:
	@$(setup) test lab
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target landfall_cli landfall_nic_guard nic_tool \
	  $(if $(filter verbs,$(LANDFALL_LAB_TRANSPORT)),landfall_verbs)
	tests/lab/direct/demo build/dev build/demo $(if $(FILE),'$(FILE)')

bench:  ## measure against loops and other tools, JSON in build/bench; QUICK=1: few pairs
	@$(setup) test bench
	cmake --preset bench
	cmake --build --preset bench -j $(JOBS) --target bench_programs
	QUICK=$(QUICK) tests/bench/run build/bench

fuzz:  ## run every fuzz target for SECONDS (60)
	@tests/fuzz/run $(SECONDS)

soak:  ## the long form of the tests that CI runs a quota of; by hand, two hours and more
	@$(setup) test lab
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	tests/system/soak build/dev $(SECONDS)
	tests/lab/soak build/dev

coverage:  ## run all tests with counters: a summary, and build/coverage/report/index.html
	@$(setup) coverage
	cmake --preset coverage
	cmake --build --preset coverage -j $(JOBS)
	find build/coverage -name '*.gcda' -delete
	ctest --preset coverage -j $(JOBS)
	mkdir -p build/coverage/report
	gcovr --print-summary --html-details build/coverage/report/index.html -f sdk/ -f backends/ \
	  -e '.*_(test|fuzz)\.cpp' build/coverage

lab: lab-test  ## run the lab tests in a VM with a kernel that has devmem TCP and zcrx

lab-test:  ## the same, only the tests that match T; LANDFALL_LAB_KERNEL=6.12 for another kernel
	@$(setup) test lab
	cmake --preset dev
	# The kernel is fetched while the tests are built.
	kernel/lab/fetch & fetch=$$!; \
	cmake --build --preset dev -j $(JOBS) --target lab_programs; built=$$?; \
	wait $$fetch && exit $$built
	kernel/lab/run build/dev $(if $(T),-R '$(T)')

lab-selftests:  ## the kernel's own tests of NICs on the software NIC, in that VM; T="devmem hds"
	@$(setup) lab
	kernel/lab/selftests $(T)

lab-shell:  ## a shell in that VM
	@$(setup) lab
	@kernel/lab/fetch && kernel/lab/module && kernel/lab/vm

install: build  ## install under PREFIX (default /usr/local)
	cmake --install build/release --prefix $(PREFIX)

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
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15
