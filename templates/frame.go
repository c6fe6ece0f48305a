package templates

import (
	"fmt"
	"html/template"
)

// CheckSession returns the document of the session management frame: a script and
// nothing to see (OpenID Connect Session Management 1.0 section 3.2).
func (s *Set) CheckSession() ([]byte, error) {
	script, err := s.assets.url("session.js")
	if err != nil {
		return nil, fmt.Errorf("templates: session frame: %w", err)
	}
	return []byte("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Session</title>\n<script src=\"" +
		template.HTMLEscapeString(script) + "\"></script>\n</head>\n</html>\n"), nil
}
