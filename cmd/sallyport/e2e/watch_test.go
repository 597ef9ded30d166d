package e2e_test

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// seen is what a test has seen of what must stay between server and client.
type seen struct {
	mu         sync.Mutex
	signatures map[string]bool // 64 hex digits each
	secrets    map[string]bool
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

// never are words that no log needs.
var never = []string{"X-Amz-Signature=", "X-Amz-Credential=", "Signature=", "Bearer ", "spt_", "hidden-bucket", "WARNING: DATA RACE", "panic", "goroutine "}

// searchLog looks for leaks, races and panics in what the server said in all its
// lives, but for where it says its data is.
func (s *Server) searchLog() {
	s.t.Helper()
	words := append([]string{}, never...)
	for name := range s.blobs() {
		words = append(words, blobWords(name)...)
	}
	if found := s.seen.leaks(s.logs, words...); len(found) > 0 {
		s.t.Errorf("in the log are %d leaks: %s", len(found), strings.Join(found[:min(len(found), 5)], ", "))
	}
	// The welcome names the data directory, and so does a failed start.
	for line := range strings.Lines(s.logs) {
		if strings.Contains(line, s.Data) && strings.Contains(line, "level=") {
			s.t.Errorf("the data directory is named in %s", line)
		}
	}
}
