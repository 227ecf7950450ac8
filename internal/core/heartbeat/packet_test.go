package heartbeat

import (
	"reflect"
	"testing"
)

// TestEqualLooksAtEveryField: a field that Equal forgets would never be sent anew.
func TestEqualLooksAtEveryField(t *testing.T) {
	var a Packet
	fields := reflect.TypeOf(a)
	for i := range fields.NumField() {
		b := a
		f := reflect.ValueOf(&b).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint64:
			f.SetUint(1)
		case reflect.Int64:
			f.SetInt(1)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
			t.Fatalf("field %s: kind %s is new here", fields.Field(i).Name, f.Kind())
		}
		if a.Equal(&b) || !b.Equal(&b) {
			t.Errorf("Equal does not look at %s", fields.Field(i).Name)
		}
	}
}
