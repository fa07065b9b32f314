package org.json;

/** The methods of Android's org.json that ports/kotlin/LucencyReader.kt calls. */
public class JSONObject {
    public JSONObject(String text) {}

    public JSONObject getJSONObject(String name) {
        throw new UnsupportedOperationException();
    }

    public java.util.Iterator<String> keys() {
        throw new UnsupportedOperationException();
    }

    public JSONArray getJSONArray(String name) {
        throw new UnsupportedOperationException();
    }

    public String getString(String name) {
        throw new UnsupportedOperationException();
    }

    public double getDouble(String name) {
        throw new UnsupportedOperationException();
    }

    public int getInt(String name) {
        throw new UnsupportedOperationException();
    }
}
