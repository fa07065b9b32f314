package android.content.res;

/** The one method of Android's class that ports/kotlin/LucencyReader.kt calls. */
public final class AssetManager {
    public java.io.InputStream open(String name) throws java.io.IOException {
        throw new java.io.FileNotFoundException(name);
    }
}
