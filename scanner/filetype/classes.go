package filetype

import (
	"path"
	"slices"
	"strings"
)

// Class is what a kind of content is good for.
type Class string

// The classes. NoClass is what nobody has an opinion of.
const (
	NoClass  Class = ""
	Media    Class = "media" // images, sound, video, fonts
	Document Class = "document"
	Text     Class = "text"
	Archive  Class = "archive"
	Markup   Class = "markup"  // what browsers run
	Program  Class = "program" // and scripts, and what installs them
)

// holds says whether content of a class is what a name of class c promises. Documents
// are often archives by their format, and text is what every script is, too.
func (c Class) holds(content Class) bool {
	switch {
	case c == NoClass, content == NoClass, c == content:
		return true
	case c == Document:
		return content == Text || content == Archive || content == Media
	case c == Text:
		return content == Document || content == Markup
	case c == Archive:
		return content == Document || content == Text
	case c == Markup, c == Program:
		return content != Media && content != Document
	}
	return false
}

// classOf returns a media type's class, as the detector of package inspect names it.
func classOf(media string) Class {
	switch {
	case slices.Contains(programTypes(), media):
		return Program
	case slices.Contains(markupTypes(), media):
		return Markup
	case slices.Contains(archiveTypes(), media):
		return Archive
	case media == "application/pdf", media == "application/msword", strings.HasPrefix(media, "application/vnd.openxmlformats-"),
		strings.HasPrefix(media, "application/vnd.oasis."), strings.HasPrefix(media, "application/vnd.ms-"), media == "application/x-ole-storage",
		media == "text/rtf", media == "application/epub+zip", media == "application/postscript", media == "message/rfc822":
		return Document
	}
	switch kind, _, _ := strings.Cut(media, "/"); kind {
	case "image", "audio", "video", "font":
		return Media
	case "text":
		return Text
	}
	return NoClass
}

// programTypes are the detector's. Windows programs are not among them: it knows those
// by two letters, which a text may begin with, too; isDOS looks closer.
func programTypes() []string {
	return []string{
		"application/x-elf", "application/x-object", "application/x-executable",
		"application/x-sharedlib", "application/x-mach-binary", "application/x-java-applet", "application/java-archive",
		"application/vnd.android.package-archive", "application/x-ms-installer", "application/x-ms-shortcut", "application/wasm",
		"application/vnd.debian.binary-package", "application/x-rpm", "application/x-chrome-extension", "application/x-shockwave-flash",
		"application/x-bytecode.python", "application/vnd.ms-htmlhelp", "application/x-installshield",
		"text/x-php", "text/javascript", "text/x-lua", "text/x-perl", "text/x-python", "text/x-ruby", "text/x-shellscript", "text/x-tcl",
	}
}

func markupTypes() []string { return []string{"text/html", "application/xhtml+xml", "image/svg+xml"} }

func archiveTypes() []string {
	return []string{
		"application/zip", "application/gzip", "application/x-tar", "application/x-7z-compressed", "application/x-bzip2", "application/x-xz",
		"application/zstd", "application/vnd.rar", "application/vnd.ms-cab-compressed", "application/lzip", "application/x-cpio",
		"application/x-archive", "application/x-xar",
	}
}

// extensions of each class, in lower case. Unknown ones promise nothing.
func extensions() map[Class]string {
	return map[Class]string{
		Media: `jpg jpeg jpe png apng gif webp bmp tif tiff ico heic heif avif jxl psd
			mp3 wav ogg oga flac aac m4a wma opus mid midi
			mp4 m4v mov avi mkv webm wmv mpg mpeg flv 3gp
			ttf otf woff woff2`,
		Document: "pdf doc docx dot dotx xls xlsx xlt xltx ppt pptx pps ppsx odt ods odp odg rtf epub eml msg pages numbers key",
		Text:     "txt csv tsv log md json xml yaml yml ini conf srt vtt",
		Archive:  "zip gz tgz tar bz2 tbz2 xz txz zst 7z rar cab lz",
		Markup:   "htm html xhtml xht shtml mht mhtml svg svgz hta",
		// What Windows, macOS, Linux desktops and web servers run when they are
		// asked to open it.
		Program: `exe com scr pif cpl dll sys drv ocx msi msp mst msix appx appxbundle application gadget
			bat cmd ps1 psm1 psd1 ps1xml vb vbs vbe js mjs cjs jse ws wsf wsh wsc sct hta lnk scf url reg inf chm hlp
			app command workflow pkg dmg mpkg action sh bash zsh csh ksh run appimage deb rpm snap flatpak desktop
			jar jnlp class war ear apk xapk ipa dex py pyc pyw pyz rb pl pm php php3 php4 php5 php7 phtml phar
			asp aspx ashx asmx jsp jspx cgi lua tcl swf wasm crx xpi xll xlam docm dotm xlsm xltm pptm potm ppam ppsm sldm
			library-ms search-ms settingcontent-ms`,
	}
}

// promise returns the class that a file name's last extension stands for. Dots and
// spaces at the end do not count: Windows drops them.
func promise(name string) Class {
	name = strings.TrimRight(strings.ToLower(name), ". ")
	ext := strings.TrimPrefix(path.Ext(name), ".")
	if ext == "" {
		return NoClass
	}
	known := extensions()
	for _, class := range []Class{Program, Markup, Media, Document, Text, Archive} {
		if slices.Contains(strings.Fields(known[class]), ext) {
			return class
		}
	}
	return NoClass
}
