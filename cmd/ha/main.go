// Command ha turns Linux hosts into a high-availability cluster.
package main

import (
	"os"

	"linuxha/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
