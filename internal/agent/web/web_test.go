package web

import (
	"context"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	for name, content := range map[string]string{"site/index.html": "front", "site/a/b.txt": "deep", "secret": "secret"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(site, "way-out")); err != nil {
		t.Fatal(err)
	}
	handler, err := Options{Directory: site}.handler()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		code int
		body string
	}{"/": {200, "front"}, "/a/b.txt": {200, "deep"}, "/none": {404, ""}, "/way-out": {500, ""}, "/../secret": {404, ""}} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want.code || want.body != "" && w.Body.String() != want.body {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
		if w.Body.String() == "secret" {
			t.Errorf("%s leaves the directory", path)
		}
	}
	if _, err := (Options{Directory: filepath.Join(dir, "none")}).handler(); err == nil {
		t.Error("a directory that is not there is served")
	}
}

// TestServe listens on an address that this host does not have, tells that it is
// ready, and ends when asked.
func TestServe(t *testing.T) {
	for _, address := range []string{"192.0.2.7:8477", "[2001:db8::7]:8477"} {
		name := filepath.Join(t.TempDir(), "notify")
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, Options{Listen: address, Content: "x"}) }()
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		buffer := make([]byte, 64)
		n, err := conn.Read(buffer)
		if err != nil || string(buffer[:n]) != "READY=1" {
			t.Fatalf("%s: %q, %v; %v", address, buffer[:n], err, <-done)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := Serve(context.Background(), Options{Listen: "no port"}); err == nil {
		t.Error("nonsense is listened on")
	}
}
