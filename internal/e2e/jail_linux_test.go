package e2e

func jailed() bool { return false }
