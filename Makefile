# Everything runs with Go >= 1.26, git and make; scripts/test-deps adds what the
# tests want beside them (as root, on Debian; else it says what is missing).

VERSION  ?= $(shell git describe --tags --dirty 2>/dev/null | sed 's/^v//')
LDFLAGS  := -s -w $(if $(VERSION),-X linuxha/internal/cli.Version=$(VERSION))
PACKAGES ?= ./...
# Lab tests form whole clusters; a package may take minutes on a small machine.
TESTFLAGS ?= -timeout 20m

.PHONY: build test demo bench clean
# What the linker wrote, the kernel keeps in single pages, a copy in larger pieces:
# each start of a copy is half a millisecond faster.
build: # one static binary, bin/ha
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ha.linked ./cmd/ha
	cp bin/ha.linked bin/ha.copied
	mv bin/ha.copied bin/ha
	rm bin/ha.linked

test: build
	scripts/test-deps
	CGO_ENABLED=0 go test $(TESTFLAGS) $(PACKAGES)

demo: build
	bin/ha demo

bench: build
	bin/ha lab bench --name bench
	go test ./internal/scheduler -run XXX -bench . -benchtime 5x -timeout 30m

clean:
	rm -rf bin
