// Package web is the small web server behind ha:web. It runs in a process of its
// own, so that it outlives the daemon.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options say what to serve.
type Options struct {
	Listen    string // address:port; an empty address is all
	Directory string // files to serve, or
	Content   string // the text to serve at every path
}

// Serve serves until ctx is done. It tells $NOTIFY_SOCKET when it listens.
func Serve(ctx context.Context, o Options) error {
	handler, err := o.handler()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{Control: freebind}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	if err := notifyReady(); err != nil {
		return fmt.Errorf("serve: tell that it is ready: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (o Options) handler() (http.Handler, error) {
	if o.Directory == "" {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			io.WriteString(w, o.Content)
		}), nil
	}
	// A root cannot be left, not even by symbolic links.
	root, err := os.OpenRoot(o.Directory)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", o.Directory, err)
	}
	return http.FileServerFS(root.FS()), nil
}

// freebind lets the server listen on an address that is not here yet.
func freebind(network, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		level, option := unix.IPPROTO_IP, unix.IP_FREEBIND
		if strings.HasSuffix(network, "6") {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		}
		failed = unix.SetsockoptInt(int(fd), level, option, 1)
	})
	return errors.Join(err, failed)
}

// notifyReady speaks sd_notify(3), if anybody listens.
func notifyReady() error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", name)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "READY=1")
	return err
}
