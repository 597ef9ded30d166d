package e2e_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// seen is what a test has seen of what must stay between server and client.
type seen struct {
	mu         sync.Mutex
	signatures map[string]bool // 64 hex digits each
	secrets    map[string]bool
	refusals   strings.Builder // what errors said, headers and body
}

func newSeen() *seen {
	return &seen{signatures: map[string]bool{}, secrets: map[string]bool{}}
}

// secret remembers a secret key or token.
func (s *seen) secret(text string) {
	if text == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[text] = true
}

// hexRuns finds what looks like a signature or digest.
var hexRuns = regexp.MustCompile(`[0-9a-f]{64}`)

// signature remembers the signatures in a URL or an Authorization header.
func (s *seen) signature(text string) {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = u.Query().Get("X-Amz-Signature")
	} else if _, after, ok := strings.Cut(text, "Signature="); ok {
		text = after
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, found := range hexRuns.FindAllString(text, -1) {
		s.signatures[found] = true
	}
}

// leaks returns what of it, or of words, is in text.
func (s *seen) leaks(text string, words ...string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, run := range hexRuns.FindAllString(text, -1) {
		if s.signatures[run] {
			found = append(found, "the signature "+run)
		}
	}
	for secret := range s.secrets {
		if strings.Contains(text, secret) {
			found = append(found, "the secret "+secret)
		}
	}
	for _, word := range words {
		if word != "" && strings.Contains(text, word) {
			found = append(found, "the word "+word)
		}
	}
	return found
}

// never are words that no log, metric or event needs.
var never = []string{"X-Amz-Signature=", "X-Amz-Credential=", "Signature=", "Bearer ", "spt_"}

// accidents must not happen while a test runs.
var accidents = []string{"WARNING: DATA RACE", "panic", "goroutine "}

// refusal keeps what an error said.
func (s *seen) refusal(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, values := range a.Header {
		s.refusals.WriteString(name + ": " + strings.Join(values, ",") + "\n")
	}
	s.refusals.Write(a.Body)
	s.refusals.WriteByte('\n')
}

// backendWords are what nobody above the backend may learn.
func (s *Server) backendWords() []string {
	words := []string{s.Data, "hidden-bucket", "hidden-data"}
	for name := range s.blobs() {
		words = append(words, blobWords(name)...)
	}
	return words
}

// report fails the test for what was found where.
func (s *Server) report(where string, found []string) {
	s.t.Helper()
	if len(found) > 0 {
		s.t.Errorf("in %s are %d leaks: %s", where, len(found), strings.Join(found[:min(len(found), 5)], ", "))
	}
}

// searchAnswers looks for leaks in the metrics, the audit log and every refusal
// of a running server.
func (s *Server) searchAnswers() {
	s.t.Helper()
	words := s.backendWords()
	s.report("the metrics", s.seen.leaks(s.metrics(), slices.Concat(words, never)...))
	_, audit := s.audit()
	s.report("the audit log", s.seen.leaks(audit, slices.Concat(words, never)...))
	s.report("the refusals", s.seen.leaks(s.seen.refusals.String(), words...))
}

// searchLog looks for leaks, races and panics in what the server said in all its
// lives. Only the welcome, which is no line of the log, may say where its data
// is.
func (s *Server) searchLog() {
	s.t.Helper()
	var log, welcome strings.Builder
	for line := range strings.Lines(s.logs) {
		if strings.HasPrefix(line, "  ") {
			welcome.WriteString(line)
		} else {
			log.WriteString(line)
		}
	}
	s.report("the log", s.seen.leaks(log.String(), slices.Concat(s.backendWords(), never, accidents)...))
	s.report("the welcome", s.seen.leaks(welcome.String()))
}
