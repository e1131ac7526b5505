package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static templates
var files embed.FS

// asset is a file that browsers may keep for good, because its name changes
// with its content.
type asset struct {
	content   string
	mediaType string
}

// assets are by the name that pages use for them.
type assets map[string]asset

var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func loadAssets() (assets, error) {
	out := assets{}
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(files, "static/"+e.Name())
		if err != nil {
			return nil, err
		}
		ext := path.Ext(e.Name())
		if mediaTypes[ext] == "" {
			return nil, fmt.Errorf("static/%s has no media type", e.Name())
		}
		sum := sha256.Sum256(raw)
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		out[name] = asset{content: string(raw), mediaType: mediaTypes[ext]}
	}
	return out, nil
}

// path returns the address of the file called name in the source.
func (a assets) path(name string) (string, error) {
	ext := path.Ext(name)
	for full := range a {
		if strings.HasPrefix(full, strings.TrimSuffix(name, ext)+".") && strings.HasSuffix(full, ext) {
			return "/static/" + full, nil
		}
	}
	return "", fmt.Errorf("no static file %s", name)
}

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.mediaType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", noTime, strings.NewReader(file.content))
}
