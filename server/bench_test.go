package server_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/gofiber/fiber/v2"

	"sallyport/server"
)

// BenchmarkGet measures one exchange on a kept connection, client included.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{0, 4 << 10, 64 << 10, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			name, _ := content(b, size)
			f := start(b, server.Config{
				Log:     slog.New(slog.NewJSONHandler(io.Discard, nil)),
				Observe: func(*server.Exchange) {},
				Routes: routes(func(c *fiber.Ctx) error {
					file, err := os.Open(name)
					if err != nil {
						return err
					}
					return server.SendFile(c, file, 0, int64(size), nil)
				}),
			})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				nc, err := net.Dial("tcp", f.addr)
				if err != nil {
					b.Error(err)
					return
				}
				defer func() { _ = nc.Close() }()
				br := bufio.NewReaderSize(nc, 64<<10)
				for pb.Next() {
					if err := exchange(nc, br, size); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// exchange is a client that costs as little as possible.
func exchange(w io.Writer, br *bufio.Reader, size int) error {
	if _, err := io.WriteString(w, "GET /k HTTP/1.1\r\nHost: s\r\n\r\n"); err != nil {
		return err
	}
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := br.Discard(size)
	return err
}
