package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// guestMain is the guest's agent, after the OCF interface; argv is its face and the
// action.
func guestMain(args []string) int {
	const ok, failed, unimplemented, notRunning = 0, 1, 3, 7
	if len(args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s ACTION\n", faceGuest)
		return 2
	}
	var answer string
	var err error
	switch action := args[1]; action {
	case "meta-data":
		fmt.Print(guestMetadata)
		return ok
	case "validate-all":
		return ok
	case "start", "stop":
		answer, err = askHypervisor(action)
		if action == "stop" && errors.Is(err, errNotRunning) {
			return ok // what is not there has no guest
		}
	case "migrate_to":
		answer, err = askHypervisor("migrate " + os.Getenv("OCF_RESKEY_CRM_meta_migrate_target"))
	case "monitor", "migrate_from":
		answer, err = askHypervisor("state")
		for begin := time.Now(); action == "migrate_from" && answer == "arriving" && time.Since(begin) < arrivalTimeout; {
			time.Sleep(20 * time.Millisecond)
			answer, err = askHypervisor("state")
		}
		switch {
		case errors.Is(err, errNotRunning) || answer == "stopped":
			return notRunning
		case answer == "running", answer == "arriving" && action == "monitor":
			return ok
		}
	default:
		return unimplemented
	}
	if err == nil && answer == "ok" {
		return ok
	}
	fmt.Fprintln(os.Stderr, answer, err)
	return failed
}

// askHypervisor gives this host's an order. One that has not begun yet, after a
// boot, is waited for before a start.
func askHypervisor(order string) (string, error) {
	conn, err := net.Dial("unix", hypervisorSocket)
	for begin := time.Now(); err != nil && order == "start" && time.Since(begin) < arrivalTimeout; {
		time.Sleep(20 * time.Millisecond)
		conn, err = net.Dial("unix", hypervisorSocket)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotRunning, err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, order+"\n"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, maxMessage)).ReadString('\n')
	return strings.TrimSpace(answer), err
}

const guestMetadata = `<?xml version="1.0"?>
<resource-agent name="` + faceGuest + `" version="1.0">
<version>1.1</version>
<longdesc lang="en">A guest that migrates between the hosts of a lab.</longdesc>
<shortdesc lang="en">A guest of a lab</shortdesc>
<parameters></parameters>
<actions>
<action name="start" timeout="30s"/>
<action name="stop" timeout="30s"/>
<action name="monitor" timeout="30s" interval="10s"/>
<action name="migrate_to" timeout="60s"/>
<action name="migrate_from" timeout="60s"/>
<action name="meta-data" timeout="5s"/>
<action name="validate-all" timeout="5s"/>
</actions>
</resource-agent>
`
