package s3api_test

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkGet reads a small object with a user's key over kept connections. The
// client here does next to nothing, so that cpu-us/op is close to the server's.
func BenchmarkGet(b *testing.B) {
	s := newStack(b)
	s.bucket("photos")
	s.do(call{method: "PUT", path: "/photos/small", body: strings.Repeat("x", 4096)})
	req := s.request(call{method: "GET", path: "/photos/small"})
	text := "GET /photos/small HTTP/1.1\r\nHost: " + s.addr + "\r\n"
	for name, values := range req.Header {
		text += name + ": " + values[0] + "\r\n"
	}
	s.benchmark(b, text+"\r\n")
}

// BenchmarkDownload reads a small object with a signed URL.
func BenchmarkDownload(b *testing.B) {
	s := newStack(b)
	url, _ := s.getURL(s.publish(strings.Repeat("x", 4096)).ID)
	s.benchmark(b, "GET "+strings.TrimPrefix(url, s.url)+" HTTP/1.1\r\nHost: "+s.addr+"\r\n\r\n")
}

// benchmark sends one request again and again over 16 connections. Every answer
// is as long as the first, so that the client need not parse them.
func (s *stack) benchmark(b *testing.B, request string) {
	first := s.raw(strings.Replace(request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	if first.status != 200 || len(first.body) != 4096 {
		b.Fatalf("get: %d %s", first.status, first.body)
	}
	b.SetParallelism(8) // times GOMAXPROCS
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		buf, size := make([]byte, 16<<10), 0
		for pb.Next() {
			if _, err := io.WriteString(nc, request); err != nil {
				b.Error(err)
				return
			}
			for got := 0; size == 0 || got < size; {
				n, err := nc.Read(buf[got:])
				if err != nil {
					b.Error(err)
					return
				}
				got += n
				if end := strings.Index(string(buf[:got]), "\r\n\r\n"); size == 0 && end > 0 {
					size = end + 4 + 4096
				}
			}
		}
	})
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// cpu is the processor time of this process, both ends of the connection.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
