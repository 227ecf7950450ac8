package cli

import (
	"io"
	"log/slog"
	"os"
)

// newLogHandler writes a line a record for people, with milliseconds where
// nobody else adds the time.
func newLogHandler(out io.Writer, verbose bool) slog.Handler {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	journal := os.Getenv("JOURNAL_STREAM") != ""
	return slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 || a.Key != slog.TimeKey {
			return a
		}
		if journal {
			return slog.Attr{}
		}
		return slog.String(slog.TimeKey, a.Value.Time().Format("2006-01-02T15:04:05.000Z07:00"))
	}})
}
