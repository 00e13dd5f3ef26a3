# The two commands of the README are `make demo` and `make test`.

SWIFT ?= swift
BACKTRAIL = .build/release/backtrail

.PHONY: demo test test-long fuzz sanitize build options docs examples dependencies arm64-check numpy-check pytorch-check bench peers paper clean

demo: build
	@Scripts/demo $(BACKTRAIL)

test: dependencies
	$(SWIFT) test -c release

# The same tests, those that take a share of a larger space with more of it: see CONTRIBUTING.md.
test-long: dependencies
	BACKTRAIL_LONG=1 $(SWIFT) test -c release

# Throws made-up bytes at everything that reads files, SECONDS for each kind; KIND=csv for one. What breaks a reader
# stays in Fuzz/Corpus, which `make test` replays.
SECONDS ?= 10
fuzz: dependencies
	cd Fuzz && $(SWIFT) build -c release --product fuzz --sanitize=address --sanitize=fuzzer
	@Scripts/fuzz $(SECONDS) $(KIND)

# The tests under AddressSanitizer and ThreadSanitizer, and those of the kernels in C under UndefinedBehaviorSanitizer.
sanitize: dependencies
	@Scripts/sanitize "$(SWIFT)"

build: dependencies
	$(SWIFT) build -c release --product backtrail

# Builds the programs in Examples/, a package of its own, runs them, and kills one half way to see it go on.
examples: build
	@Examples/check $(BACKTRAIL) "$(SWIFT)"

# Writes the documentation of every public target into .build/documentation. A warning is an error.
docs: build
	@Scripts/docs "$(SWIFT)"

# Writes the page of options from the table of settings.
options: build
	$(BACKTRAIL) options > Docs/Options.md

dependencies:
	@Scripts/install-dependencies

# Compares the kernels' bits on arm64, under emulation, with those here; see CONTRIBUTING.md for what it needs.
arm64-check:
	@Scripts/check-arm64

# Compares iterates of every order with a float64 replay in NumPy, which this needs and `make test` does not.
numpy-check: build
	python3 Scripts/compare-with-numpy.py $(BACKTRAIL)

# Passes ResNet-18 and a GPT between PyTorch and Backtrail: make pytorch-check CIFAR=FOLDER TEXT=FILE
pytorch-check: build
	python3 Scripts/compare-with-pytorch.py $(BACKTRAIL) $(CIFAR) $(TEXT)

# Measures everything that should be fast, and compares ratios of times, which hold on other machines too,
# with their bounds in Benchmarks/ratios.json. Takes about a minute once built.
bench: dependencies
	@rm -f Benchmarks/.build/Current_run.jmh.json
	cd Benchmarks && $(SWIFT) package --allow-writing-to-package-directory benchmark --no-progress --format jmh --path .build
	@python3 Benchmarks/ratios.py Benchmarks/.build/Current_run.jmh.json

# Times updates beside PyTorch and JAX (pip install -r Benchmarks/Peers/requirements.txt): make peers MNIST=DIR CIFAR=DIR TEXT=FILE
peers: build
	python3 Benchmarks/Peers/updates.py $(BACKTRAIL) $(if $(MNIST),--mnist $(MNIST)) $(if $(CIFAR),--cifar $(CIFAR)) \
	  $(if $(TEXT),--text $(TEXT))

# Makes the tables and figures of Docs/Paper.md anew from the data folders alone: make paper DATA=DIR, with DIR/mnist and DIR/cifar10,
# and DIR/fashion-mnist and DIR/cifar100 in their place where they are there. What runs/paper holds is not measured again.
paper: build
	python3 Benchmarks/Paper/figures.py $(BACKTRAIL) --data $(DATA)

clean:
	rm -rf .build .build-asan .build-tsan .build-ubsan Benchmarks/.build Examples/.build Fuzz/.build
