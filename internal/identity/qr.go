package identity

import (
	"bytes"
	"fmt"
	"image/png"

	"github.com/pquerna/otp"
)

// qrPixels is the width of the picture; the code's own modules are several
// pixels wide then.
const qrPixels = 300

// QR is the URI as a QR code (ISO/IEC 18004) in a PNG picture.
func (n NewTOTP) QR() ([]byte, error) {
	key, err := otp.NewKeyFromURL(n.URI)
	if err != nil {
		return nil, fmt.Errorf("QR code of a TOTP secret: %w", err)
	}
	picture, err := key.Image(qrPixels, qrPixels)
	if err != nil {
		return nil, fmt.Errorf("QR code of a TOTP secret: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("QR code of a TOTP secret: %w", err)
	}
	return b.Bytes(), nil
}
