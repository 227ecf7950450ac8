// Command ha turns Linux hosts into a high-availability cluster.
package main

import (
	"os"
	"runtime/debug"

	"linuxha/internal/cli"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "simulate" { // it ends before collecting garbage pays
		debug.SetGCPercent(-1)
		debug.SetMemoryLimit(1 << 30)
	}
	os.Exit(cli.Main(os.Args))
}
