"""What a slide file is made of, read without decoding pixels: TIFF pages, native tiles, JPEG streams, empty tiles."""
