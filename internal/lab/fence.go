package lab

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// powerSocket is the file name of the power control's socket in the directory
// that each host sees as /run/lab.
const powerSocket = "power"

const defaultPowerSocket = "/run/lab/" + powerSocket

// Exit codes of the fence-agent interface.
const (
	fenceOK      = 0
	fenceFailed  = 1
	fenceBadArgs = 2
	fenceIsOff   = 2 // of status and monitor
)

// fenceTimeout bounds one call of the power control.
const fenceTimeout = 15 * time.Second

// fenceMain is the fence agent of the lab's power control. It keeps the
// interface of existing fence agents: options as key=value lines on standard
// input, or as arguments for people.
func fenceMain(args []string) int {
	return fence(args[1:], os.Stdin, os.Stdout, os.Stderr)
}

func fence(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	options, err := fenceOptions(args, stdin)
	if err != nil {
		fmt.Fprintln(stderr, faceFence+":", err)
		return fenceBadArgs
	}
	action := options["action"]
	if action == "" {
		action = opReboot
	}
	target := options["plug"]
	for _, name := range []string{"port", "nodename"} {
		if target == "" {
			target = options[name]
		}
	}
	if delay, err := fenceSeconds(options["delay"]); err != nil {
		fmt.Fprintf(stderr, "%s: delay: %v\n", faceFence, err)
		return fenceBadArgs
	} else if action != "metadata" {
		time.Sleep(delay)
	}
	socket := options["socket"]
	if socket == "" {
		socket = defaultPowerSocket
	}
	ask := func(op string) (reply, error) {
		return call(socket, request{Op: op, Host: target}, fenceTimeout)
	}
	fail := func(err error) int {
		if errors.Is(err, errNotRunning) {
			err = fmt.Errorf("no power control at %s: is this a host of 'ha lab'?", socket)
		}
		fmt.Fprintf(stderr, "%s: %s %s: %v\n", faceFence, action, target, err)
		return fenceFailed
	}

	switch action {
	case "metadata":
		if err := writeFenceMetadata(stdout); err != nil {
			return fail(err)
		}
		return fenceOK
	case "list", "list-status", "monitor", "validate-all":
		answer, err := ask(opList)
		if err != nil {
			return fail(err)
		}
		if strings.HasPrefix(action, "list") {
			for _, name := range answer.Hosts {
				fmt.Fprintln(stdout, name+",")
			}
		}
		return fenceOK
	case "on", "off", "reboot", "status":
		if target == "" {
			fmt.Fprintf(stderr, "%s: %s needs plug=HOST\n", faceFence, action)
			return fenceBadArgs
		}
	default:
		fmt.Fprintf(stderr, "%s: unknown action %q: want on, off, reboot, status, monitor, list or metadata\n", faceFence, action)
		return fenceBadArgs
	}
	if action == "status" {
		answer, err := ask(opPowerStatus)
		if err != nil {
			return fail(err)
		}
		if !answer.On {
			fmt.Fprintln(stdout, "Status: OFF")
			return fenceIsOff
		}
		fmt.Fprintln(stdout, "Status: ON")
		return fenceOK
	}
	if _, err := ask(action); err != nil {
		return fail(err)
	}
	return fenceOK
}

// fenceOptions reads the options: the last of a name holds, unknown ones are
// ignored, as are comments.
func fenceOptions(args []string, stdin io.Reader) (map[string]string, error) {
	options := map[string]string{}
	if len(args) == 0 {
		lines := bufio.NewScanner(io.LimitReader(stdin, maxMessage))
		for lines.Scan() {
			line := strings.TrimSpace(lines.Text())
			if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				options[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read options: %w", err)
		}
		return options, nil
	}
	short := map[string]string{"-o": "action", "-n": "plug"}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if long, ok := short[name]; ok {
			name = long
		} else if name, ok = strings.CutPrefix(name, "--"); !ok {
			return nil, fmt.Errorf("unknown argument %q: use --action=ACTION --plug=HOST", args[i])
		}
		if !joined {
			if i++; i == len(args) {
				return nil, fmt.Errorf("%s needs a value", args[i-1])
			}
			value = args[i]
		}
		options[name] = value
	}
	return options, nil
}

func fenceSeconds(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0, fmt.Errorf("%q is not a number of seconds from 0 to 3600", text)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// The metadata, in the form that fence agents give it.
type fenceMetadata struct {
	XMLName    xml.Name         `xml:"resource-agent"`
	Name       string           `xml:"name,attr"`
	ShortDesc  string           `xml:"shortdesc,attr"`
	LongDesc   string           `xml:"longdesc"`
	VendorURL  string           `xml:"vendor-url"`
	Parameters []fenceParameter `xml:"parameters>parameter"`
	Actions    []fenceAction    `xml:"actions>action"`
}

type fenceParameter struct {
	Name     string `xml:"name,attr"`
	Unique   int    `xml:"unique,attr"`
	Required int    `xml:"required,attr"`
	Getopt   struct {
		Mixed string `xml:"mixed,attr"`
	} `xml:"getopt"`
	Content struct {
		Type    string `xml:"type,attr"`
		Default string `xml:"default,attr,omitempty"`
	} `xml:"content"`
	ShortDesc string `xml:"shortdesc"`
}

type fenceAction struct {
	Name      string `xml:"name,attr"`
	Automatic int    `xml:"automatic,attr"`
}

func writeFenceMetadata(w io.Writer) error {
	metadata := fenceMetadata{
		Name: faceFence, ShortDesc: "Power control of the hosts of 'ha lab'",
		LongDesc: "Switches a host of a lab off and on. It reports \"off\" only when the host's links are down, " +
			"its processes are killed and its network namespace is gone. A reboot succeeds when the host is off; it then boots by itself.",
	}
	for _, p := range []struct{ name, kind, standard, text string }{
		{"action", "string", opReboot, "What to do"},
		{"plug", "string", "", "The host"},
		{"socket", "string", defaultPowerSocket, "Where the power control listens"},
		{"delay", "second", "0", "Wait so long before doing it"},
	} {
		parameter := fenceParameter{Name: p.name, ShortDesc: p.text}
		parameter.Getopt.Mixed = "--" + p.name + "=[" + p.name + "]"
		parameter.Content.Type, parameter.Content.Default = p.kind, p.standard
		metadata.Parameters = append(metadata.Parameters, parameter)
	}
	for _, name := range []string{"on", "off", "reboot", "status", "monitor", "list", "metadata", "validate-all"} {
		metadata.Actions = append(metadata.Actions, fenceAction{Name: name})
	}
	text, err := xml.MarshalIndent(metadata, "", "  ")
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
