package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// A frame is its length (4 bytes, of what follows), its kind (1 byte) and its
// body. The dialling node sends a hello and messages, the accepting one a hello
// and acknowledgements.
type kind byte

const (
	kindHello   kind = 1 // a hello in JSON
	kindMessage kind = 2 // its number (8 bytes), an encoded event.Message
	kindAck     kind = 3 // the number of the newest message handed over (8 bytes)
)

// maxBody bounds a frame's body by kind, in bytes.
func maxBody(k kind) (int, error) {
	switch k {
	case kindHello:
		return 8 << 10, nil
	case kindMessage:
		return 8 + event.MaxMessage, nil
	case kindAck:
		return 8, nil
	}
	return 0, fmt.Errorf("a frame of unknown kind %d", k)
}

// hello begins a stream in each direction.
type hello struct {
	Incarnation cluster.Incarnation `json:"incarnation"`
	Links       []string            `json:"links,omitempty"` // the sender's addresses
	// Last is the number of the newest message that the accepting node had
	// from this incarnation of the dialling one.
	Last uint64 `json:"last,omitempty"`
}

func appendFrame(b []byte, k kind, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(body)))
	return append(append(b, byte(k)), body...)
}

func appendHello(b []byte, h *hello) ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode hello: %w", err)
	}
	return appendFrame(b, kindHello, body), nil
}

func appendAck(b []byte, number uint64) []byte {
	return appendFrame(b, kindAck, binary.BigEndian.AppendUint64(nil, number))
}

// appendMessage frames an encoded message.
func appendMessage(b []byte, number uint64, encoded []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+8+len(encoded)))
	b = append(b, byte(kindMessage))
	return append(binary.BigEndian.AppendUint64(b, number), encoded...)
}

// readFrame reads one frame. It takes memory as the bytes come in, not as the
// length promises.
func readFrame(r *bufio.Reader) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	k := kind(head[4])
	limit, err := maxBody(k)
	if err != nil {
		return 0, nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[:])) - 1
	if length < 0 || length > int64(limit) {
		return 0, nil, fmt.Errorf("a frame of kind %d with %d bytes, at most %d are allowed", k, length, limit)
	}
	var body bytes.Buffer
	body.Grow(int(min(length, 64<<10)))
	if _, err := io.CopyN(&body, r, length); err != nil {
		return 0, nil, fmt.Errorf("a frame that is cut short: %w", err)
	}
	return k, body.Bytes(), nil
}

func readHello(r *bufio.Reader) (*hello, error) {
	k, body, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	if k != kindHello {
		return nil, errors.New("the stream does not begin with a hello")
	}
	var h hello
	if err := json.Unmarshal(body, &h); err != nil {
		return nil, fmt.Errorf("decode hello: %w", err)
	}
	return &h, nil
}

func decodeNumber(body []byte) (uint64, error) {
	if len(body) < 8 {
		return 0, errors.New("a frame without its number")
	}
	return binary.BigEndian.Uint64(body), nil
}
