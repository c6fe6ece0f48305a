package main

import (
	"context"
	"os/exec"
	"runtime"
)

// browse asks the desktop to open address. It returns once the desktop has taken
// it over; an error only means that the person has to copy it.
func browse(ctx context.Context, address string) error {
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", address).Run() //nolint:gosec // G204: an argument, not a shell; we made the address
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", address).Run() //nolint:gosec // G204: as above
	default:
		return exec.CommandContext(ctx, "xdg-open", address).Run() //nolint:gosec // G204: as above
	}
}
