package scheduler

import "testing"

func TestDigest(t *testing.T) {
	some := map[string]string{"state": "/run/x", "op_sleep": "0", "fake": `a<b & "c"`}
	tests := []struct {
		name   string
		params map[string]string
		only   []string
		want   string
	}{
		{"no parameters", nil, nil, "f2317cad3d54cec5d7d7aa7d0bf35cf8"},
		{"none of them counts", some, []string{}, "f2317cad3d54cec5d7d7aa7d0bf35cf8"},
		{"timeout of a monitor", map[string]string{"CRM_meta_timeout": "20000"}, nil, "4811cef7f7f94e3a35a70be7916cb2fd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := digest(pairs(tt.params), tt.only); got != tt.want {
				t.Errorf("digest = %s, want %s", got, tt.want)
			}
		})
	}
	if digest(pairs(some), nil) == digest(pairs(some), []string{"state", "op_sleep"}) {
		t.Error("leaving out a parameter does not change the digest")
	}
}
