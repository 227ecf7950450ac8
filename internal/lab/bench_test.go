package lab

import "testing"

func TestMeasurementRanks(t *testing.T) {
	m := newMeasurement("x", 0, []float64{7, 1, 6, 2, 5, 3, 4})
	if m.Median != 4 || m.P90 != 7 || m.Max != 7 || m.Samples[0] != 7 {
		t.Errorf("%+v", m)
	}
	m = newMeasurement("x", 0, []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1})
	if m.Median != 5 || m.P90 != 9 || m.Max != 10 {
		t.Errorf("%+v", m)
	}
}
