package e2e_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"
	"time"
)

// bodySize is what the bodies below hold.
const bodySize = 200_000

// TestBrokenUpload sends bodies that are not what was declared to signed URLs:
// each gets its own error, leaves nothing, and the URL can be used again.
func TestBrokenUpload(t *testing.T) {
	good, bad := noise(1, bodySize), noise(2, bodySize)
	wrongMD5 := md5.Sum(bad)
	tests := []struct {
		name   string
		header string // beyond those of the session
		body   []byte
		cut    bool // the client stops sending after body
		status int
		code   string
	}{
		{"cut off at once", "", nil, true, 400, "IncompleteBody"},
		{"cut off midway", "", good[:bodySize/2], true, 400, "IncompleteBody"},
		{"cut off before the last byte", "", good[:bodySize-1], true, 400, "IncompleteBody"},
		{"another digest than declared", "", bad, false, 400, "BadDigest"},
		{"another MD5", "Content-MD5: " + base64.StdEncoding.EncodeToString(wrongMD5[:]), good, false, 400, "BadDigest"},
		{"a malformed MD5", "Content-MD5: nonsense", good, false, 400, "InvalidDigest"},
	}
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.in(t)
				u := s.root.beginAs(newUpload{Filename: "x.bin", ContentType: octets, Size: bodySize, SHA256: payloadHash(good)})
				header := []string{}
				if test.header != "" {
					header = append(header, test.header)
				}
				w := s.dial()
				w.send(u.putHead(bodySize, header...) + string(test.body))
				if test.cut {
					if err := w.conn.CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				if a := w.mustAnswer(); !a.is(test.status, test.code) {
					t.Errorf("%s, want %d %s", a, test.status, test.code)
				}
				s.root.refused(http.StatusConflict, "OBJECT_NOT_PUBLISHED", "GET", "/objects/"+u.ObjectID+"/content", nil)
				s.holds(i)
				u.putWhenFree(good)
				u.publish()
				s.holds(i + 1)
			})
		}
		t.Run("more than declared", func(t *testing.T) {
			s.in(t)
			u := s.root.begin(bodySize)
			w := s.dial()
			w.send(u.putHead(bodySize) + string(good) + "and more\r\n\r\n")
			if a := w.mustAnswer(); a.Status != http.StatusOK {
				t.Errorf("the declared bytes: %s", a)
			}
			if a, err := w.answer(); err == nil && a.Status < 400 {
				t.Errorf("the bytes after them were taken for a request: %s", a)
			}
			u.publish()
			s.mustGet(s.root.downloadURL(u.ObjectID).GetURL, good)
		})
	})
}

// TestBrokenObject sends broken bodies through the S3 port with a key.
func TestBrokenObject(t *testing.T) {
	good := noise(1, bodySize)
	sum := crc32.NewIEEE()
	sum.Write(good)
	crc := base64.StdEncoding.EncodeToString(sum.Sum(nil))
	wrongCRC := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()+1))
	const (
		signed   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
		trailing = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
		unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	)
	flip := func(chunks []string, i int) { // alters one byte of a chunk's data
		j := strings.Index(chunks[i], "\r\n") + 2
		chunks[i] = chunks[i][:j] + string(chunks[i][j]^1) + chunks[i][j+1:]
	}
	forge := func(chunks []string, i int) { // alters a chunk's signature
		const mark = "chunk-signature="
		j := strings.Index(chunks[i], mark) + len(mark)
		chunks[i] = chunks[i][:j] + strings.Repeat("0", 64) + chunks[i][j+64:]
	}
	tests := []struct {
		name    string
		kind    string
		trailer string // value of x-amz-checksum-crc32 at the end
		damage  func(chunks []string)
		status  int
		code    string
	}{
		{"nothing wrong, signed", signed, "", func([]string) {}, 200, ""},
		{"nothing wrong, signed with trailer", trailing, crc, func([]string) {}, 200, ""},
		{"nothing wrong, unsigned with trailer", unsigned, crc, func([]string) {}, 200, ""},
		{"last data chunk altered", signed, "", func(c []string) { flip(c, len(c)-3) }, 403, "SignatureDoesNotMatch"},
		{"last data chunk's signature", signed, "", func(c []string) { forge(c, len(c)-3) }, 403, "SignatureDoesNotMatch"},
		{"end chunk's signature", signed, "", func(c []string) { forge(c, len(c)-2) }, 403, "SignatureDoesNotMatch"},
		{"trailer checksum, signed", trailing, wrongCRC, func([]string) {}, 400, "BadDigest"},
		{"trailer checksum, unsigned", unsigned, wrongCRC, func([]string) {}, 400, "BadDigest"},
		{"trailer altered after signing", trailing, crc, func(c []string) {
			c[len(c)-1] = strings.Replace(c[len(c)-1], crc, wrongCRC, 1)
		}, 403, "SignatureDoesNotMatch"},
		{"no end chunk", signed, "", func(c []string) { c[len(c)-2] = "" }, 400, "IncompleteBody"},
	}
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on)
		s.mustObject("PUT", "/broken", nil)
		objects := 0
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.in(t)
				path := fmt.Sprintf("/broken/object-%d", i)
				a := s.putChunked(path, test.kind, good, test.trailer, test.damage)
				if !a.is(test.status, test.code) {
					t.Errorf("%s, want %d %s", a, test.status, test.code)
				}
				got, err := s.root.object("GET", path, "", nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if test.status == http.StatusOK {
					objects++
					if string(got.Body) != string(good) {
						t.Errorf("%s with %d bytes came back", got, len(got.Body))
					}
				} else if !got.is(http.StatusNotFound, "NoSuchKey") {
					t.Errorf("it can be seen: %s", got)
				}
				s.holds(objects)
			})
		}
		t.Run("another payload than signed", func(t *testing.T) {
			s.in(t)
			a, err := s.root.object("PUT", "/broken/object", "", good, http.Header{"X-Amz-Content-Sha256": {payloadHash(nil)}})
			if err != nil || !a.is(http.StatusBadRequest, "XAmzContentSHA256Mismatch") {
				t.Errorf("%s, %v", a, err)
			}
			s.holds(objects)
		})
	})
}

// chunkSize is that of the frames below; S3 wants 8 KiB at least.
const chunkSize = 64 << 10

// putChunked puts an object framed in aws-chunked, after damage was done to the
// frames: those of data, the end, and the trailer with what ends the body.
func (s *Server) putChunked(path, kind string, data []byte, crc string, damage func([]string)) answer {
	s.t.Helper()
	header := http.Header{
		"X-Amz-Content-Sha256":         {kind},
		"X-Amz-Decoded-Content-Length": {fmt.Sprint(len(data))},
		"Content-Encoding":             {"aws-chunked"},
	}
	if crc != "" {
		header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	}
	req, err := s.root.objectRequest(s.t.Context(), "PUT", path, "", nil, header)
	if err != nil {
		s.t.Fatal(err)
	}
	chunks := s.root.frame(req, kind, data, crc)
	damage(chunks)
	body := strings.Join(chunks, "")
	lines := []string{fmt.Sprint("Content-Length: ", len(body))}
	for name, values := range req.Header {
		lines = append(lines, name+": "+values[0])
	}
	w := s.dial()
	w.send(head("PUT", req.URL.String(), lines...) + body)
	return w.mustAnswer()
}

// frame cuts data into aws-chunked frames; the last element is the trailer.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
func (c *Client) frame(req *http.Request, kind string, data []byte, crc string) []string {
	chain := newChunkChain(c, req)
	signs := !strings.Contains(kind, "UNSIGNED")
	var frames []string
	for rest, last := data, false; !last; {
		n := min(chunkSize, len(rest))
		last = n == 0
		frame := fmt.Sprintf("%x", n)
		if signs {
			frame += ";chunk-signature=" + chain.next("PAYLOAD", payloadHash(nil)+"\n"+payloadHash(rest[:n]))
		}
		frame += "\r\n" + string(rest[:n])
		if !last {
			frame += "\r\n"
		}
		frames, rest = append(frames, frame), rest[n:]
	}
	end := ""
	if crc != "" {
		line := "x-amz-checksum-crc32:" + crc
		end = line + "\r\n"
		if signs {
			end += "x-amz-trailer-signature:" + chain.next("TRAILER", payloadHash([]byte(line+"\n"))) + "\r\n"
		}
	}
	return append(frames, end+"\r\n")
}

// chunkChain makes the signatures of frames, each over the one before.
type chunkChain struct {
	key          []byte
	scope, stamp string
	last         string
}

func newChunkChain(c *Client, req *http.Request) *chunkChain {
	stamp := req.Header.Get("X-Amz-Date")
	day := stamp[:len("20060102")]
	key := []byte("AWS4" + c.secret)
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	_, seed, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	return &chunkChain{key: key, scope: day + "/" + region + "/s3/aws4_request", stamp: stamp, last: seed}
}

func (c *chunkChain) next(kind, hashes string) string {
	c.last = hex.EncodeToString(hmacSHA256(c.key,
		"AWS4-HMAC-SHA256-"+kind+"\n"+c.stamp+"\n"+c.scope+"\n"+c.last+"\n"+hashes))
	return c.last
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// TestStalledBody lets a body stand still.
func TestStalledBody(t *testing.T) {
	onBackends(t, func(t *testing.T, on backend) {
		s := serve(t, on, "SERVER_BODY_IDLE=1s")
		u := s.root.begin(sessionSize)
		w := s.dial()
		w.send(u.putHead(sessionSize) + strings.Repeat("x", sessionSize/2))
		begin := time.Now()
		if a := w.mustAnswer(); !a.is(http.StatusBadRequest, "RequestTimeout") {
			t.Errorf("the stalled body: %s", a)
		}
		if took := time.Since(begin); took < 900*time.Millisecond || took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		w.end()
		u.putWhenFree(noise(1, sessionSize))
		s.holds(1)
	})
}
