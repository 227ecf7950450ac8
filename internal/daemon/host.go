package daemon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// bootID identifies this boot of the kernel.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// machineID identifies the machine that state is bound to, so that a copied disk
// is noticed: the firmware's id of the machine, which a clone does not share,
// with the id of the installation. It is hashed, since both are confidential.
// It is "" where neither can be read: state is then not bound.
func machineID() string {
	var parts []string
	for _, path := range []string{"/sys/class/dmi/id/product_uuid", "/etc/machine-id"} {
		if data, err := os.ReadFile(path); err == nil {
			parts = append(parts, strings.TrimSpace(string(data)))
		}
	}
	text := strings.Join(parts, "\n")
	if text == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte("linux-ha state"))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
