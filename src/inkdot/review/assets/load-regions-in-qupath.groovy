// Loads the GeoJSON files of a folder into the images of the open QuPath project.
//
// QuPath 0.4 or newer: open or make a project with the slides, then Automate > Script editor, open this file, Run > Run.
// (Not "Run for project": the script goes through all images by itself.)
//
// An image takes the file of its name: NAME.svs takes NAME.geojson. Regions that an image already has, by their id, are left
// as they are, so a second run loses no class that was given meanwhile. Nothing is deleted. Images are saved with the regions.

import static qupath.lib.gui.scripting.QPEx.*
import qupath.lib.io.PathIO

// The folder that `inkdot review export` wrote. On Windows with / or \\ between folders.
// Left empty, the folder of the project and its subfolder "review" are searched.
def folder = ''

def project = getProject()
if (project == null) {
    println 'Expected an open project, found none: make one with File > Project... and add the slides.'
    return
}
def home = project.getPath().toFile().getParentFile()
def folders = folder ? [new File(folder)] : [home, new File(home, 'review')]
def files = [:]
for (place in folders) {
    for (file in (place.listFiles() ?: [])) {
        if (file.isFile() && file.getName().toLowerCase().endsWith('.geojson')) {
            files[file.getName().substring(0, file.getName().length() - '.geojson'.length())] = file
        }
    }
}
if (files.isEmpty()) {
    println "Expected .geojson files in ${folders.join(' or ')}, found none: name their folder in the line 'def folder'."
    return
}

def open = getProjectEntry()
def used = new HashSet()
int images = 0
int added = 0
for (entry in project.getImageList()) {
    // "NAME.svs - Series 0" (several images in a file), "NAME.svs", "NAME"
    def name = entry.getOriginalImageName() ?: entry.getImageName()
    def plain = name.replaceFirst(/ - [^-]*$/, '')
    def candidates = [name, plain, name.replaceFirst(/\.[^.]+$/, ''), plain.replaceFirst(/\.[^.]+$/, '')]
    def key = candidates.find { files.containsKey(it) }
    if (key == null) {
        println "no file for the image ${name}"
        continue
    }
    used.add(key)
    try {
        // The image that is open is changed where it is shown: saving another copy of it would be overwritten.
        def imageData = (open != null && open.getID() == entry.getID()) ? getCurrentImageData() : entry.readImageData()
        def hierarchy = imageData.getHierarchy()
        def present = hierarchy.getAllObjects(false).collect { it.getID() } as Set
        def regions = PathIO.readObjects(files[key]).findAll { !present.contains(it.getID()) }
        if (!regions.isEmpty()) {
            hierarchy.addObjects(regions)
            entry.saveImageData(imageData)
        }
        images++
        added += regions.size()
        println "${name}: ${regions.size()} regions added, ${present.size()} objects were there"
    } catch (Exception error) {
        println "${name}: could not be read or saved: ${error.getMessage()}"
    }
}
project.syncChanges()
def left = files.keySet().findAll { !used.contains(it) }
println "${added} regions added to ${images} of ${project.getImageList().size()} images"
if (!left.isEmpty()) {
    println "files without an image of their name: ${left.sort().join(', ')}"
}
