package sim
import ("testing";"time";"os";"strconv";"slices")
func TestLive(t *testing.T){
 n,_:=strconv.Atoi(os.Getenv("PROF_N")); if n==0 {t.Skip()}
 var over []string; count:=0; var all []float64
 Many(1,n,Options{Length:2*time.Minute},func(r *Result) bool { count++; all=append(all, float64(r.Recovery)/float64(r.Bound)); if r.Recovery>r.Bound { over=append(over, strconv.FormatUint(r.Shape.Seed,10)+" "+r.Recovery.String()+" of "+r.Bound.String()+" "+r.Shape.String()) }; if r.Failed() { t.Log(r.Shape.Seed, r.Breaches[0].String()) }; return true})
 slices.Sort(all); slices.Sort(over)
 for _,o:=range over { t.Log(o) }
 t.Log(count, len(over), all[len(all)/2], all[len(all)*9/10], all[len(all)*95/100], all[len(all)*99/100])
}
