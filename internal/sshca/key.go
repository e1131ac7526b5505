package sshca

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"

	"golang.org/x/crypto/ssh"
)

func serial() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// bits is the length of an RSA key.
func bits(key ssh.PublicKey) int {
	c, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return 0
	}
	k, ok := c.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return 0
	}
	return k.N.BitLen()
}

// Line is the key as a line of a file of OpenSSH, without the line's end.
func Line(key ssh.PublicKey, comment string) string {
	b := ssh.MarshalAuthorizedKey(key)
	return string(b[:len(b)-1]) + " " + comment
}
