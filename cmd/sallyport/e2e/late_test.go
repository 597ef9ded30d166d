package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"sallyport/scanner/clamd/clamdtest"
)

// givenTo is a request that was given an object's bytes.
type givenTo struct {
	Op       string
	BytesOut int64 `json:"bytes_out"`
}

// TestFoundLater publishes EICAR's test file where nobody looks for malware. Once somebody
// does, new signatures or a rescan withdraw it with its copy, whatever the server went
// through meanwhile, and tell who has it.
func TestFoundLater(t *testing.T) {
	for name, find := range map[string]func(*Server, *clamdtest.Clamd, string){
		"new signatures": func(s *Server, daemon *clamdtest.Clamd, _ string) {
			s.Kill()
			daemon.Sign(2, time.Now())
			daemon.Reload(2)
			s.Start()
		},
		"on demand": func(s *Server, _ *clamdtest.Clamd, id string) {
			var o struct {
				State      string
				Rescanning bool
			}
			s.root.must("POST", "/objects/"+id+"/rescan", nil, &o)
			if o.State != "published" || !o.Rescanning {
				s.t.Errorf("a rescan leaves it %+v", o)
			}
			s.Kill()
			s.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			daemon := clamdtest.Start(t)
			s := serve(t, disk{}, "SCANNER_CLAMD_ADDR="+daemon.Unix)
			s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct", "scan": map[string]any{"mode": "off"}}, nil)
			s.mustObject("PUT", "/direct/late", clamdtest.EICAR())
			a, err := s.root.object("PUT", "/direct/copy", "", nil, http.Header{"X-Amz-Copy-Source": {"/direct/late"}})
			if err != nil || a.Status != http.StatusOK {
				t.Fatalf("copy: %s, %v", a, err)
			}
			s.mustObject("PUT", "/direct/other", []byte("Nothing of note.\n"))
			s.mustGet(s.root.presign("GET", "/direct/late", time.Minute), clamdtest.EICAR())
			var listed struct {
				Objects []struct {
					ID   string `json:"object_id"`
					Size int64
				}
			}
			s.root.must("GET", "/objects?profile=direct&state=published", nil, &listed)
			if len(listed.Objects) != 3 {
				t.Fatalf("published: %+v", listed)
			}
			id := listed.Objects[2].ID // the newest comes first
			s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct"}, nil)

			// What the list shows once is written; a kill may cost the last second's.
			downloads := func() (got []givenTo) {
				var list struct{ Downloads []givenTo }
				s.root.must("GET", "/objects/"+id+"/downloads", nil, &list)
				return list.Downloads
			}
			eventually(t, "the download is recorded", func() bool { return len(downloads()) == 1 })
			find(s, daemon, id)
			eventually(t, "it is withdrawn", func() bool { return s.root.objectState(id) == "rejected" })
			s.absent("/direct/late")
			s.absent("/direct/copy")
			s.mustGet(s.root.presign("GET", "/direct/other", time.Minute), []byte("Nothing of note.\n"))
			if o := s.root.judged(id); o.Verdict.Result != "infected" || !o.heard("clamd") {
				t.Errorf("it is %s", o)
			}
			if got := downloads(); len(got) != 1 || got[0].Op != "GetObject" || got[0].BytesOut != int64(len(clamdtest.EICAR())) {
				t.Errorf("downloads: %+v", got)
			}
			s.Stop()
			s.mustFsck()
		})
	}
}
