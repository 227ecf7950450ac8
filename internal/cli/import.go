package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"linuxha/internal/config"
	"linuxha/internal/pacemaker"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a Pacemaker configuration (CIB) into one of ours",
		Long: "Read a Pacemaker CIB (XML, as 'cibadmin --query' prints it; - is standard input) and print its configuration in the language of\n" +
			"'ha apply'. It means the same here, but for what is listed on standard error:\n" +
			"  left out      it has no counterpart, and is not in the text\n" +
			"  to mend       it is in the text, and 'ha config check' refuses it until you have mended it\n" +
			"  differs       it is in the text, but does something else here, or nothing\n" +
			"  no effect     it is in the text, and tunes a part of Pacemaker that does not exist here\n" +
			"  spelled out   the text says what Pacemaker does without being told\n" +
			"Status and history in the CIB are not taken over, nor what Pacemaker writes into its options itself (dc-version and the like).\n" +
			"Nothing is changed, and no cluster is needed. The exit code is 1 if something is left out, to mend, or differs.\n\n" +
			"Nodes are known by their names: let all hosts join under the names that they have in the CIB before you apply it.",
		Example: "  ha import cib.xml > cluster.hcl\n" +
			"  cibadmin --query | ha import --name web - > cluster.hcl\n" +
			"  ha config check cluster.hcl; ha plan cluster.hcl",
		Args: cobra.ExactArgs(1),
	}
	asJSON := addJSON(cmd)
	name := cmd.Flags().String("name", "", "name of the cluster that it is for (default: the one in the CIB)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		imported, err := importCIB(args[0], *name)
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), imported)
		} else {
			_, err = io.WriteString(cmd.OutOrStdout(), imported.Configuration)
			printRemarks(cmd.ErrOrStderr(), imported.Remarks)
		}
		if err == nil && imported.incomplete() {
			err = &ExitError{Code: ExitFailure}
		}
		return err
	}
	return cmd
}

// imported is what a CIB has become.
type imported struct {
	Configuration string          `json:"configuration"` // HCL
	Remarks       []config.Remark `json:"remarks"`
}

func (x *imported) incomplete() bool {
	for _, r := range x.Remarks {
		if r.Kind != config.SpelledOut && r.Kind != config.NoEffect {
			return true
		}
	}
	return false
}

func importCIB(file, name string) (*imported, error) {
	cibText, err := readCIBText(file)
	if err != nil {
		return nil, err
	}
	cib, err := pacemaker.Parse(cibText, pacemaker.Options{Lenient: true})
	if err != nil {
		return nil, usage("read %s as a CIB: %w", file, err)
	}
	x := &imported{Remarks: []config.Remark{}}
	for _, w := range cib.Warnings {
		x.Remarks = append(x.Remarks, config.Remark{Kind: config.LeftOut, At: fmt.Sprintf("%s:%d:%d", file, w.Line, w.Column), Text: w.Text})
	}
	if name == "" {
		name = cib.Config.Name
	}
	if name == "" {
		name = "cluster"
		x.Remarks = append(x.Remarks, config.Remark{Kind: config.SpelledOut, At: "cluster " + name, Text: "the CIB names no cluster; say it with --name"})
	}
	text, remarks := config.Adopt(&cib.Config, name)
	x.Configuration, x.Remarks = string(text), append(x.Remarks, remarks...)
	return x, nil
}

// readCIBText reads at most what a CIB can be.
func readCIBText(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", usage("read CIB: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := readBounded(in, pacemaker.MaxSize)
	if err != nil {
		return "", usage("read CIB from %s: %w", file, err)
	}
	return text, nil
}

// printRemarks lists remarks by kind, those that need a person first.
func printRemarks(out io.Writer, remarks []config.Remark) {
	for _, kind := range []config.RemarkKind{config.ToMend, config.LeftOut, config.Differs, config.NoEffect, config.SpelledOut} {
		title := kind
		for _, r := range remarks {
			if r.Kind != kind {
				continue
			}
			if title != "" {
				fmt.Fprintf(out, "%s:\n", title)
				title = ""
			}
			fmt.Fprintf(out, "  %s: %s\n", r.At, r.Text)
		}
	}
}
