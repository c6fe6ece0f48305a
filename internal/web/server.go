package web

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns a server for h with every limit a public socket needs: a slow
// caller loses the connection, a greedy one its headers. Its own complaints, about
// broken handshakes and the like, go to log at debug level, because anybody can
// cause them.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
